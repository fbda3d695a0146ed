package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// heldDevices tells which allocation holds a device, by group and id.
func heldDevices(allocs []*model.Allocation) map[string]string {
	held := map[string]string{}
	for _, al := range allocs {
		if al.Terminal() || al.AllocatedResources == nil {
			continue
		}
		for _, t := range al.AllocatedResources.Tasks {
			for _, d := range t.Devices {
				for _, id := range d.DeviceIDs {
					held[d.ID()+" "+id] = al.ID
				}
			}
		}
	}
	return held
}

// deviceText shows the devices of a node: a line for each group; with verbose, one for each device and the attributes.
func deviceText(w io.Writer, devices []*model.NodeDevice, held map[string]string, verbose bool) {
	if len(devices) == 0 {
		return
	}
	section(w, "Devices")
	rows := [][]string{{"Device", "Total", "Healthy", "In Use"}}
	for _, d := range devices {
		healthy, used := 0, 0
		for _, i := range d.Instances {
			if i.Healthy {
				healthy++
			}
			if held[d.ID()+" "+i.ID] != "" {
				used++
			}
		}
		rows = append(rows, []string{d.ID(), strconv.Itoa(len(d.Instances)), strconv.Itoa(healthy), strconv.Itoa(used)})
	}
	printTable(w, rows...)
	if !verbose {
		return
	}
	for _, d := range devices {
		section(w, "Device "+d.ID())
		rows := [][]string{{"ID", "Healthy", "Allocation", "PCI Address", "Message"}}
		for _, i := range d.Instances {
			address := "-"
			if i.Locality != nil {
				address = i.Locality.PciBusID
			}
			rows = append(rows, []string{i.ID, strconv.FormatBool(i.Healthy), first(held[d.ID()+" "+i.ID], "-"), address, i.HealthDescription})
		}
		printTable(w, rows...)
		var pairs [][2]string
		for _, key := range sortedKeys(d.Attributes) {
			pairs = append(pairs, [2]string{key, d.Attributes[key].Text()})
		}
		printKeys(w, pairs...)
	}
}

// taskDevices shows the devices of a task with the figure that tells most of each, where there is one.
func taskDevices(w io.Writer, t *model.AllocatedTaskResources, use *rpc.ResourceUsage) {
	if len(t.Devices) == 0 {
		return
	}
	rows := [][]string{{"Device", "ID", "Usage"}}
	for _, d := range t.Devices {
		for _, id := range d.DeviceIDs {
			rows = append(rows, []string{d.ID(), id, first(deviceUsage(use, d, id), "-")})
		}
	}
	fmt.Fprintln(w, "\nDevices:")
	printTable(w, rows...)
}

func deviceUsage(use *rpc.ResourceUsage, d *model.AllocatedDevice, id string) string {
	if use == nil {
		return ""
	}
	for _, g := range use.DeviceStats {
		if s := g.InstanceStats[id]; s != nil && g.Vendor == d.Vendor && g.Type == d.Type && g.Name == d.Name {
			return statText(s.Summary)
		}
	}
	return ""
}

// statText is a figure as people read it: "100 / 15109 MiB".
func statText(v *rpc.StatValue) string {
	if v == nil {
		return ""
	}
	var parts []string
	add := func(text string) {
		if len(parts) > 0 {
			parts = append(parts, "/")
		}
		parts = append(parts, text)
	}
	for _, n := range []*int64{v.IntNumeratorVal, v.IntDenominatorVal} {
		if n != nil {
			add(strconv.FormatInt(*n, 10))
		}
	}
	for _, f := range []*float64{v.FloatNumeratorVal, v.FloatDenominatorVal} {
		if f != nil {
			add(strconv.FormatFloat(*f, 'f', 1, 64))
		}
	}
	switch {
	case v.StringVal != nil:
		parts = append(parts, *v.StringVal)
	case v.BoolVal != nil:
		parts = append(parts, strconv.FormatBool(*v.BoolVal))
	}
	if v.Unit != "" && len(parts) > 0 {
		parts = append(parts, v.Unit)
	}
	return strings.Join(parts, " ")
}
