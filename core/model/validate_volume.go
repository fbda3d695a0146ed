package model

import (
	"path"
	"strings"
)

func (c *checker) checkVolumes(w where, g *TaskGroup) {
	for _, name := range sortedKeys(g.Volumes) {
		v := g.Volumes[name]
		vw := w.in("volume", name)
		c.oneOf(vw, "type", v.Type, "host", "csi")
		if v.Source == "" {
			c.fail(vw, "source is missing")
		}
		switch v.Type {
		case "host":
			c.checkHostVolume(vw, v)
		case "csi":
			c.checkCSIVolume(vw, g, v)
		}
		if v.PerAlloc {
			if c.isSystem() {
				c.fail(vw, "per_alloc is for service and batch jobs")
			}
			if g.Update != nil && g.Update.Canary > 0 {
				c.fail(vw, "per_alloc and canaries exclude each other")
			}
			if v.Sticky {
				c.fail(vw, "per_alloc and sticky exclude each other")
			}
		}
		if strings.HasSuffix(v.AccessMode, "reader-only") && !v.ReadOnly {
			c.fail(vw, "access_mode %q needs read_only = true", v.AccessMode)
		}
	}
}

func (c *checker) checkHostVolume(w where, v *VolumeRequest) {
	c.oneOf(w, "access_mode", v.AccessMode, "", "single-node-reader-only", "single-node-writer",
		"single-node-single-writer", "single-node-multi-writer")
	if v.MountOptions != nil {
		c.fail(w, "mount_options is for CSI volumes")
	}
}

func (c *checker) checkCSIVolume(w where, g *TaskGroup, v *VolumeRequest) {
	c.oneOf(w, "access_mode", v.AccessMode, "single-node-reader-only", "single-node-writer", "multi-node-reader-only",
		"multi-node-single-writer", "multi-node-multi-writer")
	c.oneOf(w, "attachment_mode", v.AttachmentMode, "file-system", "block-device")
	if v.MountOptions != nil && v.AttachmentMode != "file-system" {
		c.fail(w, "mount_options needs attachment_mode \"file-system\"")
	}
	if g.Count <= 1 || v.PerAlloc {
		return
	}
	if strings.HasPrefix(v.AccessMode, "single-node-") {
		c.fail(w, "access_mode %q with count %d needs per_alloc = true", v.AccessMode, g.Count)
	}
	if v.AccessMode == "multi-node-single-writer" && !v.ReadOnly {
		c.fail(w, "access_mode %q with count %d needs read_only or per_alloc", v.AccessMode, g.Count)
	}
}

func (c *checker) checkMounts(w where, g *TaskGroup, t *Task) {
	for _, m := range t.VolumeMounts {
		mw := w.in("volume_mount", m.Volume)
		if g.Volumes[m.Volume] == nil {
			c.fail(mw, "the group has no volume %q", m.Volume)
		}
		if m.Destination == "" {
			c.fail(mw, "destination is missing")
		}
		c.oneOf(mw, "propagation_mode", m.PropagationMode, "private", "host-to-task", "bidirectional")
		c.oneOf(mw, "selinux_label", m.SELinuxLabel, "", "z", "Z")
	}
	p := t.CSIPluginConfig
	if p == nil {
		return
	}
	pw := w.in("csi_plugin", p.ID)
	if p.ID == "" {
		c.fail(pw, "id is missing")
	}
	c.oneOf(pw, "type", p.Type, "node", "controller", "monolith")
	if mount, stage := path.Clean(p.MountDir), path.Clean(p.StagePublishBaseDir); mount == stage || strings.HasPrefix(stage, mount+"/") {
		c.fail(pw, "stage_publish_base_dir (%s) must not lie inside mount_dir (%s)", p.StagePublishBaseDir, p.MountDir)
	}
}
