package cli

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/state"
)

func snapshotSave(a *app) *cobra.Command {
	var stale bool
	c := &cobra.Command{Use: "save [file]", Short: "Save the servers' state", Args: cobra.MaximumNArgs(1)}
	c.Flags().BoolVar(&stale, "stale", false, "ask the server that is reached, even without a leader")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		name := "drover-state-" + time.Now().UTC().Format("20060102-150405") + ".snap"
		if len(args) > 0 {
			name = args[0]
		}
		q := query{}
		if stale {
			q["stale"] = "true"
		}
		resp, err := cl.do(cmd.Context(), http.MethodGet, "/v1/operator/snapshot", q, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		n, err := saveTo(name, resp.Body, resp.Header.Get("Digest"))
		if err != nil {
			return fmt.Errorf("save the snapshot: %w", err)
		}
		fmt.Fprintf(a.Stdout, "State file written to %s (%s)\n", name, byteSize(uint64(n)))
		return nil
	}
	return c
}

// saveTo writes a file that is there only once it is complete and has the digest that was announced.
func saveTo(name string, r io.Reader, digest string) (n int64, err error) {
	tmp := name + ".unfinished"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	sum := sha256.New()
	n, err = io.Copy(io.MultiWriter(f, sum), r)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return 0, err
	}
	if got := "sha-256=" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != digest {
		return 0, fmt.Errorf("what was received has the digest %s, the server announced %q", got, digest)
	}
	return n, os.Rename(tmp, name)
}

func snapshotRestore(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{Use: "restore <file>", Short: "Replace the servers' state by a saved one", Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&force, "force", false, "also if it is of another cluster")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if _, _, err := openSnapshot(args[0]); err != nil {
			return err
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		q := query{}
		if force {
			q["force"] = "true"
		}
		resp, err := cl.do(cmd.Context(), http.MethodPut, "/v1/operator/snapshot", q, f)
		if err != nil {
			return err
		}
		resp.Body.Close()
		fmt.Fprintln(a.Stdout, "Snapshot restored")
		return nil
	}
	return c
}

// openSnapshot reads a saved file through.
func openSnapshot(path string) (c *state.Contents, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if c, err = state.CheckSnapshot(f); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return c, st.Size(), nil
}

func snapshotInspect(a *app) *cobra.Command {
	c := &cobra.Command{Use: "inspect <file>", Short: "Check a saved state and say what it holds; asks no server", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		found, size, err := openSnapshot(args[0])
		if err != nil {
			return err
		}
		shown := struct {
			*state.Contents
			Size int64
		}{found, size}
		return f.print(a.Stdout, shown, func(w io.Writer) {
			pairs := [][2]string{{"Size", byteSize(uint64(size))}, {"Index", strconv.FormatUint(found.Index, 10)}}
			if k := found.Cluster; k != nil {
				pairs = append(pairs, [2]string{"Cluster", k.ID}, [2]string{"Region", k.Region}, [2]string{"Cluster made", stamp(k.CreateTime)})
			}
			printKeys(w, pairs...)
			fmt.Fprintln(w)
			rows := [][]string{{"Type", "Count", "Size"}}
			for _, t := range found.Tables {
				rows = append(rows, []string{string(t.Table), strconv.Itoa(t.Rows), byteSize(uint64(t.Bytes))})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func snapshotState(a *app) *cobra.Command {
	return &cobra.Command{Use: "state <file>", Short: "Print what a saved state holds as JSON, without secrets; asks no server", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, _, err := openSnapshot(args[0])
			if err != nil {
				return err
			}
			out := map[string]any{"Index": found.Index}
			for _, t := range found.Tables {
				out[string(t.Table)] = found.Rows(t.Table)
			}
			return printJSON(a.Stdout, out)
		}}
}
