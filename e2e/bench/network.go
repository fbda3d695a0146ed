package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"time"
)

const (
	benchBridge = "drbench0"
	benchSubnet = "10.219.3.0/24"
)

// networks measures what a network of its own adds to a task's start, against the same CNI plugins called by hand in the
// same run, and 50 of them at once.
func (b *bench) networks(samples int) error {
	if os.Geteuid() != 0 {
		fmt.Println("networks: not measured, they need root")
		return nil
	}
	defer b.stop()
	if err := b.start([]string{"drover-driver-raw-exec", "drover-network-cni"}, fmt.Sprintf(`plugin "raw_exec" {
 config { enabled = true }
}
client {
 bridge_network_name = %q
 bridge_network_subnet = %q
 cni_path = %q
}
`, benchBridge, benchSubnet, filepath.Join(b.bin, "cni"))); err != nil {
		return err
	}
	if err := b.startIn("first", "bridge", 1); err != nil { // it holds the bridge
		return err
	}
	conf, err := b.conflist()
	if err != nil {
		return err
	}
	var host, bridge, hand []float64
	for i := range samples {
		for mode, times := range map[string]*[]float64{"host": &host, "bridge": &bridge} {
			id := fmt.Sprintf("%s-%d", mode, i)
			begin := time.Now()
			if err := b.startIn(id, mode, 1); err != nil {
				return err
			}
			*times = append(*times, milliseconds(begin))
			if err := b.endJob(id); err != nil {
				return err
			}
		}
		took, err := b.byHand(conf, fmt.Sprintf("drbench-%d", i))
		if err != nil {
			return err
		}
		hand = append(hand, took)
	}
	added := median(bridge) - median(host)
	b.row("bridge: added to a task's start, p50", added, "ms", 0, true)
	b.row("the same CNI plugins by hand, p50", median(hand), "ms", 0, true)
	b.row("bridge against CNI by hand", added/median(hand), "times", 1.2, true)
	begin := time.Now()
	if err := b.startIn("fifty", "bridge", 50); err != nil {
		return err
	}
	b.row("50 bridge allocations at once, until all run", milliseconds(begin), "ms", 0, true)
	for _, id := range []string{"fifty", "first"} {
		if err := b.endJob(id); err != nil {
			return err
		}
	}
	return b.until(30*time.Second, func() (bool, error) {
		_, err := os.Stat("/sys/class/net/" + benchBridge)
		return err != nil, nil
	})
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func median(times []float64) float64 {
	sorted := append([]float64(nil), times...)
	sort.Float64s(sorted)
	return sorted[len(sorted)/2]
}

// startIn runs n tasks in networks of a mode and waits until they run.
func (b *bench) startIn(id, mode string, n int) error {
	j := job(id, n)
	group := j["Job"].(map[string]any)["TaskGroups"].([]any)[0].(map[string]any)
	group["Networks"] = []any{map[string]any{"Mode": mode, "DynamicPorts": []any{map[string]any{"Label": "http", "To": 8080}}}}
	if err := b.call("PUT", "/v1/jobs", j, nil); err != nil {
		return err
	}
	return b.watch(id, n)
}

// endJob purges a job and waits until nothing of it runs.
func (b *bench) endJob(id string) error {
	if err := b.call("DELETE", "/v1/job/"+id+"?purge=true", nil, nil); err != nil {
		return err
	}
	return b.until(60*time.Second, func() (bool, error) {
		var allocs []struct{ JobID, ClientStatus string }
		err := b.call("GET", "/v1/allocations", nil, &allocs)
		for _, a := range allocs {
			if a.JobID == id && (a.ClientStatus == "running" || a.ClientStatus == "pending") {
				return false, err
			}
		}
		return true, err
	})
}

// conflist is the bridge's configuration as the plugin uses it.
func (b *bench) conflist() (list map[string]any, err error) {
	records, _ := filepath.Glob(filepath.Join(b.dir, "data", "plugin-data", "cni", "allocs", "*.json"))
	if len(records) != 1 {
		return nil, fmt.Errorf("%d records of networks, want one", len(records))
	}
	text, err := os.ReadFile(records[0])
	if err != nil {
		return nil, err
	}
	var record struct{ Networks []struct{ Conf []byte } }
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, err
	}
	return list, json.Unmarshal(record.Networks[0].Conf, &list)
}

// byHand makes a namespace and calls the plugins one after the other, as a shell script would.
func (b *bench) byHand(list map[string]any, id string) (took float64, err error) {
	defer exec.Command("ip", "netns", "del", id).Run()
	begin := time.Now()
	if out, err := exec.Command("ip", "netns", "add", id).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	result, err := b.chain(list, id, "ADD", nil)
	took = milliseconds(begin)
	if err != nil {
		return 0, err
	}
	_, err = b.chain(list, id, "DEL", result)
	return took, err
}

func (b *bench) chain(list map[string]any, id, command string, result json.RawMessage) (json.RawMessage, error) {
	for _, p := range list["plugins"].([]any) {
		conf := map[string]any{"cniVersion": list["cniVersion"], "name": list["name"]}
		for k, v := range p.(map[string]any) {
			conf[k] = v
		}
		if conf["type"] == "portmap" {
			conf["runtimeConfig"] = map[string]any{"portMappings": []any{
				map[string]any{"hostPort": 39871, "containerPort": 8080, "protocol": "tcp"}, map[string]any{"hostPort": 39871, "containerPort": 8080, "protocol": "udp"}}}
		}
		if result != nil {
			conf["prevResult"] = result
		}
		stdin, err := json.Marshal(conf)
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(filepath.Join(b.bin, "cni", conf["type"].(string)))
		cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+id, "CNI_NETNS=/run/netns/"+id, "CNI_IFNAME=eth0",
			"CNI_PATH="+filepath.Join(b.bin, "cni"))
		cmd.Stdin = bytes.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s %v: %w: %s", command, conf["type"], err, out)
		}
		if command == "ADD" {
			result = out
		}
	}
	return result, nil
}
