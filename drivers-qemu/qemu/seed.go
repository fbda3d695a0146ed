package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kdomanski/iso9660"

	"github.com/droverhq/drover/sdk/driver"
)

// seedLabel is how cloud-init recognises a disk with a NoCloud seed.
const seedLabel = "cidata"

// seedFile is where the seed lies below the task's directory: in memory where
// the host can arrange it, because it may hold secrets.
const seedFile = "private/nocloud.iso"

// maxSeed bounds one file of a seed in bytes.
const maxSeed = 1 << 20

// seedFiles collects the files of a seed: those in the job's text, and the
// rest from its directory.
func seedFiles(c *noCloudConfig, task *driver.TaskConfig) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, text := range map[string]string{
		"user-data": c.UserData, "meta-data": c.MetaData, "network-config": c.NetworkConfig, "vendor-data": c.VendorData,
	} {
		if text != "" {
			files[name] = []byte(text)
			continue
		}
		if c.Dir == "" {
			continue
		}
		text, err := seedPart(c.Dir, name, task)
		if err != nil {
			return nil, fmt.Errorf("nocloud: %w", err)
		}
		if text != nil {
			files[name] = text
		}
	}
	// Without these two cloud-init does not take the disk for a seed.
	if files["user-data"] == nil {
		files["user-data"] = []byte("#cloud-config\n{}\n")
	}
	if files["meta-data"] == nil {
		files["meta-data"] = fmt.Appendf(nil, "instance-id: %s\nlocal-hostname: %s\n", task.AllocID, task.Name)
	}
	return files, nil
}

// seedPart reads a file of the job's seed directory; nil if there is none.
func seedPart(dir, name string, task *driver.TaskConfig) ([]byte, error) {
	inside := dir
	if filepath.IsAbs(dir) {
		rel, err := filepath.Rel(task.TaskDir(), dir)
		if err != nil {
			return nil, err
		}
		inside = rel
	}
	root, err := os.OpenRoot(task.TaskDir())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := root.Stat(inside); err != nil {
		return nil, fmt.Errorf("dir %q in the task's directory: %w", dir, err)
	}
	file := filepath.Join(inside, name)
	st, err := root.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxSeed {
		return nil, fmt.Errorf("%s in %q must be a file of at most %d bytes", name, dir, maxSeed)
	}
	return root.ReadFile(file)
}

// writeSeed builds the seed and returns its path.
func writeSeed(c *noCloudConfig, task *driver.TaskConfig) (string, error) {
	files, err := seedFiles(c, task)
	if err != nil {
		return "", err
	}
	disk, err := seedDisk(files)
	if err != nil {
		return "", fmt.Errorf("nocloud: build the seed: %w", err)
	}
	root, err := os.OpenRoot(task.TaskDir())
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(seedFile), 0o777); err != nil {
		return "", err
	}
	_ = root.Remove(seedFile) // of an attempt before
	f, err := root.OpenFile(seedFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("nocloud: write the seed: %w", err)
	}
	_, err = f.Write(disk)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("nocloud: write the seed: %w", err)
	}
	return filepath.Join(task.TaskDir(), seedFile), nil
}

// seedDisk makes an ISO 9660 file system. Names come out in lower case, as
// Linux shows them, which is all that cloud-init needs.
func seedDisk(files map[string][]byte) ([]byte, error) {
	w, err := iso9660.NewWriter()
	if err != nil {
		return nil, err
	}
	defer w.Cleanup()
	for name, text := range files {
		if err := w.AddFile(bytes.NewReader(text), name); err != nil {
			return nil, err
		}
	}
	var disk bytes.Buffer
	if err := w.WriteTo(&disk, seedLabel); err != nil {
		return nil, err
	}
	return disk.Bytes(), nil
}
