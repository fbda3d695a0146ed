package node

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
)

// instance names one device of the node.
type deviceInstance struct{ group, id string }

// deviceTroubles says what is wrong with devices: those that a list does not have are not in it.
type deviceTroubles map[deviceInstance]string

func troublesOf(list []*model.NodeDevice) deviceTroubles {
	out := deviceTroubles{}
	for _, d := range list {
		for _, i := range d.Instances {
			why := ""
			if !i.Healthy {
				why = "is unhealthy: " + i.HealthDescription
			}
			out[deviceInstance{d.ID(), i.ID}] = why
		}
	}
	return out
}

// deviceNews tells what a task should know of its devices when one list follows another: what was well and is not now,
// and what is well again. The task is left alone: it may still finish its work.
func deviceNews(before, after []*model.NodeDevice, held []*model.AllocatedDevice) []string {
	var news []string
	was, is := troublesOf(before), troublesOf(after)
	for _, d := range held {
		for _, id := range d.DeviceIDs {
			key := deviceInstance{d.ID(), id}
			whyBefore, listedBefore := was[key]
			whyNow, listedNow := is[key]
			wellBefore, wellNow := listedBefore && whyBefore == "", listedNow && whyNow == ""
			switch {
			case wellBefore == wellNow:
			case wellNow && listedBefore: // it may just be the plugin's first list
				news = append(news, fmt.Sprintf("device %s %s is healthy again", d.ID(), id))
			case wellBefore && listedNow:
				news = append(news, fmt.Sprintf("device %s %s %s", d.ID(), id, whyNow))
			case wellBefore:
				news = append(news, fmt.Sprintf("device %s %s is gone: no plugin on this node lists it any more", d.ID(), id))
			}
		}
	}
	return news
}

// tellOfDevices tells tasks what became of their devices.
func (n *Node) tellOfDevices(before, after []*model.NodeDevice) {
	for _, r := range n.runnersNow() {
		alloc := r.Alloc()
		for name, t := range r.Tasks() {
			if t.State().State == model.TaskDead {
				continue
			}
			for _, text := range deviceNews(before, after, heldBy(alloc, name)) {
				t.Emit(event.Device(time.Now(), text))
			}
		}
	}
}
