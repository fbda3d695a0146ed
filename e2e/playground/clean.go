package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/e2e/netlab"
)

// tidyTime bounds how long tasks have to end.
const tidyTime = 30 * time.Second

// stopJobs ends every job and waits until nothing runs, so that networks, mounts and cgroups of tasks are given back by
// those who made them. It does what it can: the cluster may be broken by now.
func stopJobs(agents []*agent) {
	ctx, cancel := context.WithTimeout(context.Background(), tidyTime)
	defer cancel()
	for _, a := range agents {
		var jobs []struct{ ID, Namespace string }
		if call(ctx, http.MethodGet, "http://"+a.addr+":4646/v1/jobs?namespace=*", &jobs) != nil {
			continue
		}
		for _, j := range jobs {
			_ = call(ctx, http.MethodDelete, fmt.Sprintf("http://%s:4646/v1/job/%s?purge=true&namespace=%s", a.addr, j.ID, j.Namespace), nil)
		}
		for ctx.Err() == nil {
			var allocs []struct{ ClientStatus string }
			if call(ctx, http.MethodGet, "http://"+a.addr+":4646/v1/allocations?namespace=*", &allocs) != nil {
				return
			}
			running := 0
			for _, al := range allocs {
				if al.ClientStatus == "running" || al.ClientStatus == "pending" {
					running++
				}
			}
			if running == 0 {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		return
	}
}

func call(ctx context.Context, method, url string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// endRest ends what is left in the machines' namespaces: helpers that outlive their agent, and tasks if it came to that.
func endRest(wire *netlab.Wire, names []string) {
	for _, name := range names {
		for range 50 {
			out, err := exec.Command("ip", "netns", "pids", filepath.Base(wire.NetNS(name))).Output()
			if err != nil || len(out) == 0 {
				break
			}
			for _, text := range strings.Fields(string(out)) {
				if pid, err := strconv.Atoi(text); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// removeRun removes an agent's directory of sockets, whose name follows from that of its data.
func removeRun(data string) {
	sum := sha256.Sum256([]byte(data))
	_ = os.RemoveAll(filepath.Join("/run/drover", hex.EncodeToString(sum[:4])))
	_ = os.Remove("/run/drover") // only when no other agent uses it
}
