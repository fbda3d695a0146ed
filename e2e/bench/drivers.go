package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

const (
	execTasks   = 100
	dockerTasks = 30
	// atOnce is how many `docker run` go side by side.
	atOnce = 8
)

// drivers measures what isolated and contained tasks cost, on an agent of their own.
func (b *bench) drivers(pairs int) error {
	if os.Geteuid() != 0 {
		fmt.Println("exec and docker need root: not measured")
		return nil
	}
	engine, err := harness.StartDockerd()
	defer engine.Close()
	if err != nil {
		fmt.Println("docker is not measured:", err)
	}
	plugins, config := []string{"drover-driver-exec"}, ""
	if err == nil {
		plugins = append(plugins, "drover-driver-docker")
		config = fmt.Sprintf("plugin \"docker\" {\n config {\n endpoint = %q\n gc { image = false }\n }\n}\n", engine.Endpoint())
		busybox, err := exec.LookPath("busybox")
		if err != nil {
			return err
		}
		if err := engine.Import("busybox:1", map[string]string{"bin/busybox": busybox, "bin/sleep": busybox}); err != nil {
			return err
		}
	}
	if err := b.start(plugins, config); err != nil {
		return err
	}
	defer b.stop()
	for _, p := range plugins {
		if err := b.healthy(strings.TrimPrefix(p, "drover-driver-")); err != nil {
			return err
		}
	}
	if len(plugins) > 1 { // first: memory is measured before anything else ran
		time.Sleep(3 * time.Second)
		if err := b.contained(engine, pairs); err != nil {
			return err
		}
	}
	return b.isolated()
}

func (b *bench) healthy(driver string) error {
	return b.until(30*time.Second, func() (bool, error) {
		var nodes []struct {
			Drivers map[string]struct{ Healthy bool }
		}
		err := b.call("GET", "/v1/nodes", nil, &nodes)
		return err == nil && len(nodes) == 1 && nodes[0].Drivers[driver].Healthy, err
	})
}

// sleeps is a job of nothing else.
func sleeps(id, driver string, count int, config map[string]any) map[string]any {
	j := job(id, count)
	task := j["Job"].(map[string]any)["TaskGroups"].([]any)[0].(map[string]any)["Tasks"].([]any)[0].(map[string]any)
	task["Driver"], task["Config"] = driver, config
	return j
}

// isolated times the start of exec tasks and looks at what they take of the disk.
func (b *bench) isolated() error {
	var times []float64
	for round := range 4 { // the first is not counted: it starts the keeper
		begin := time.Now()
		if err := b.call("PUT", "/v1/jobs", sleeps("exec", "exec", execTasks, map[string]any{"command": "sleep", "args": []string{"3600"}}), nil); err != nil {
			return err
		}
		if err := b.watch("exec", execTasks); err != nil {
			return err
		}
		if round > 0 {
			times = append(times, time.Since(begin).Seconds())
		} else if err := b.disk(); err != nil {
			return err
		}
		if err := b.purge("exec"); err != nil {
			return err
		}
	}
	sort.Float64s(times)
	b.row(fmt.Sprintf("%d exec tasks: until all run, median of 3", execTasks), times[1], "s", 3, true)
	return nil
}

// disk is what the running allocations hold of it, in blocks.
func (b *bench) disk() error {
	var blocks int64
	err := filepath.WalkDir(filepath.Join(b.dir, "data", "alloc"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			blocks += info.Sys().(*syscall.Stat_t).Blocks
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.row("disk per exec task", float64(blocks)*512/execTasks/(1<<20), "MiB", 1, true)
	return nil
}

func (b *bench) purge(id string) error {
	if err := b.call("DELETE", "/v1/job/"+id+"?purge=true", nil, nil); err != nil {
		return err
	}
	if err := b.over(); err != nil {
		return err
	}
	return b.call("PUT", "/v1/system/gc", nil, nil)
}

// contained times docker tasks against `docker run` of the same, pair by pair.
func (b *bench) contained(d *harness.Dockerd, pairs int) error {
	var ours, plain, ratios []float64
	var memory float64
	for i := range pairs + 1 { // the first pair warms up
		idle, err := b.memory()
		if err != nil {
			return err
		}
		begin := time.Now()
		config := map[string]any{"image": "busybox:1", "command": "/bin/sleep", "args": []string{"3600"}}
		if err := b.call("PUT", "/v1/jobs", sleeps("docker", "docker", dockerTasks, config), nil); err != nil {
			return err
		}
		if err := b.watch("docker", dockerTasks); err != nil {
			return err
		}
		took := time.Since(begin).Seconds()
		if i == 0 {
			time.Sleep(2 * time.Second)
			busy, err := b.memory()
			if err != nil {
				return err
			}
			memory = (busy["all"].pss - idle["all"].pss) / dockerTasks
		}
		if err := b.purge("docker"); err != nil {
			return err
		}
		if err := b.until(60*time.Second, func() (bool, error) {
			left, err := d.Docker(nil, "ps", "-aq")
			return left == "", err
		}); err != nil {
			return err
		}
		direct, err := dockerRun(d)
		if err != nil {
			return err
		}
		if i > 0 {
			ours, plain, ratios = append(ours, took), append(plain, direct), append(ratios, took/direct)
		}
	}
	for _, list := range [][]float64{ours, plain, ratios} {
		sort.Float64s(list)
	}
	middle := len(ratios) / 2
	b.row(fmt.Sprintf("%d docker tasks: until all run, median", dockerTasks), ours[middle], "s", 0, true)
	b.row(fmt.Sprintf("%d docker run -d, %d at a time, median", dockerTasks, atOnce), plain[middle], "s", 0, true)
	b.row(fmt.Sprintf("docker tasks against docker run, median of %d pairs", pairs), ratios[middle], "times", 1.25, true)
	b.row("memory per docker task beyond containerd's shim, PSS", memory, "MiB", 1, true)
	return nil
}

// dockerRun starts the same containers with the same limits by the docker program, times it and removes them.
func dockerRun(d *harness.Dockerd) (seconds float64, err error) {
	var mu sync.Mutex
	var failed error
	todo := make(chan int)
	var workers sync.WaitGroup
	begin := time.Now()
	for range atOnce {
		workers.Go(func() {
			for i := range todo {
				_, err := d.Docker(nil, "run", "-d", "--name", fmt.Sprint("plain", i), "--cpu-shares", "2", "--memory", "10m", "--memory-swap", "10m",
					"--log-opt", "max-size=2m", "--log-opt", "max-file=2", "busybox:1", "/bin/sleep", "3600")
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	for i := range dockerTasks {
		todo <- i
	}
	close(todo)
	workers.Wait()
	seconds = time.Since(begin).Seconds()
	ids, err := d.Docker(nil, "ps", "-aq")
	if err == nil && ids != "" {
		_, err = d.Docker(nil, append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
	}
	return seconds, errors.Join(failed, err)
}
