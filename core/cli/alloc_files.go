package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/rpc"
)

// tailing are the flags that choose a part of a stream.
type tailing struct {
	follow, tail bool
	lines, bytes int64
}

func (f *tailing) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.follow, "f", false, "go on as it grows")
	c.Flags().BoolVar(&f.tail, "tail", false, "begin near the end")
	c.Flags().Int64Var(&f.lines, "n", -1, "with -tail: this many lines (default 10)")
	c.Flags().Int64Var(&f.bytes, "c", -1, "with -tail: this many bytes")
}

// bytesPerLine is how far back is looked per line asked for.
const bytesPerLine = 120

// query says where the stream begins; lines is how many of its last lines are wanted, 0 all.
func (f *tailing) query(q query) (lines int64) {
	q["follow"] = strconv.FormatBool(f.follow)
	q["origin"], q["offset"] = "start", "0"
	if !f.tail && f.lines < 0 && f.bytes < 0 {
		return 0
	}
	q["origin"] = "end"
	if f.bytes >= 0 {
		q["offset"] = strconv.FormatInt(f.bytes, 10)
		return 0
	}
	lines = f.lines
	if lines < 0 {
		lines = 10
	}
	q["offset"] = strconv.FormatInt(lines*bytesPerLine, 10)
	return lines
}

// stream reads frames and writes their data. With lines > 0 only the last lines of what is there at first are shown.
func (a *app) stream(ctx context.Context, cl *client, path string, q query, lines int64, w io.Writer) error {
	resp, err := cl.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var held bytes.Buffer
	holding := lines > 0
	release := func() error {
		if !holding {
			return nil
		}
		holding = false
		_, err := w.Write(lastLines(held.Bytes(), lines))
		return err
	}
	dec := json.NewDecoder(resp.Body)
	for {
		var fr struct {
			Data      []byte
			FileEvent string
		}
		if err := dec.Decode(&fr); err != nil {
			if rerr := release(); rerr != nil {
				return rerr
			}
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the stream broke off: %w", err)
		}
		if len(fr.Data) == 0 { // a sign of life: everything there was has come
			if err := release(); err != nil {
				return err
			}
			continue
		}
		if holding {
			held.Write(fr.Data)
			continue
		}
		if _, err := w.Write(fr.Data); err != nil {
			return err
		}
	}
}

func lastLines(b []byte, n int64) []byte {
	end := len(b)
	if end > 0 && b[end-1] == '\n' {
		end--
	}
	for i := end - 1; i >= 0; i-- {
		if b[i] == '\n' {
			if n--; n == 0 {
				return b[i+1:]
			}
		}
	}
	return b
}

func allocLogs(a *app) *cobra.Command {
	var f chosen
	var t tailing
	var stderr, stdout, verbose bool
	c := &cobra.Command{Use: "logs <alloc> [task]", Short: "Show what a task wrote", Args: cobra.RangeArgs(1, 2)}
	f.add(c, true)
	t.add(c)
	c.Flags().BoolVar(&stderr, "stderr", false, "standard error")
	c.Flags().BoolVar(&stdout, "stdout", false, "standard output (the default)")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if stderr && stdout {
			return errors.New("-stdout and -stderr exclude each other; -f alone follows both")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		al, err := f.alloc(cmd.Context(), cl, args[0])
		if err != nil {
			return err
		}
		task, err := f.pickTask(al, arg(args, 1))
		if err != nil {
			return err
		}
		show := func(ctx context.Context, kind string, w io.Writer) error {
			q := query{"task": task, "type": kind}
			lines := t.query(q)
			return a.stream(ctx, cl, "/v1/client/fs/logs/"+seg(al.ID), q, lines, w)
		}
		switch {
		case stderr:
			return show(cmd.Context(), "stderr", a.Stdout)
		case t.follow && !stdout && !t.tail && t.lines < 0 && t.bytes < 0:
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			var wg sync.WaitGroup
			errs := make([]error, 2)
			wg.Go(func() { errs[0] = show(ctx, "stdout", a.Stdout); cancelOn(errs[0], cancel) })
			wg.Go(func() { errs[1] = show(ctx, "stderr", a.Stderr); cancelOn(errs[1], cancel) })
			wg.Wait()
			return errors.Join(errs...)
		}
		return show(cmd.Context(), "stdout", a.Stdout)
	}
	return c
}

func cancelOn(err error, cancel func()) {
	if err != nil {
		cancel()
	}
}

func allocFS(a *app) *cobra.Command {
	var f chosen
	var t tailing
	var bytesForm, stat, verbose bool
	c := &cobra.Command{Use: "fs <alloc> [path]", Short: "List an allocation's files, or show one", Args: cobra.RangeArgs(1, 2)}
	f.add(c, true)
	t.add(c)
	c.Flags().BoolVar(&bytesForm, "H", false, "sizes in bytes")
	c.Flags().BoolVar(&stat, "stat", false, "describe the file instead of showing it")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		al, err := f.alloc(cmd.Context(), cl, args[0])
		if err != nil {
			return err
		}
		path := first(arg(args, 1), "/")
		var info rpc.FSFileInfo
		if _, err := cl.get(cmd.Context(), "/v1/client/fs/stat/"+seg(al.ID), query{"path": path}, &info); err != nil {
			return err
		}
		switch {
		case stat:
			printTable(a.Stdout, []string{"Mode", "Size", "Modified Time", "Content Type", "Name"}, fileRow(&info, bytesForm, true))
			return nil
		case info.IsDir:
			var files []*rpc.FSFileInfo
			if _, err := cl.get(cmd.Context(), "/v1/client/fs/ls/"+seg(al.ID), query{"path": path}, &files); err != nil {
				return err
			}
			rows := [][]string{{"Mode", "Size", "Modified Time", "Name"}}
			for _, fi := range files {
				rows = append(rows, fileRow(fi, bytesForm, false))
			}
			printTable(a.Stdout, rows...)
			return nil
		}
		if !t.follow && !t.tail && t.lines < 0 && t.bytes < 0 {
			resp, err := cl.do(cmd.Context(), http.MethodGet, "/v1/client/fs/cat/"+seg(al.ID), query{"path": path}, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(a.Stdout, resp.Body)
			return err
		}
		q := query{"path": path}
		lines := t.query(q)
		return a.stream(cmd.Context(), cl, "/v1/client/fs/stream/"+seg(al.ID), q, lines, a.Stdout)
	}
	return c
}

func fileRow(f *rpc.FSFileInfo, exact, withType bool) []string {
	size := byteSize(uint64(max(f.Size, 0)))
	if exact {
		size = strconv.FormatInt(f.Size, 10)
	}
	name := f.Name
	if f.IsDir {
		name += "/"
	}
	row := []string{f.FileMode, size, stamp(f.ModTime)}
	if withType {
		row = append(row, f.ContentType)
	}
	return append(row, name)
}
