// drover-taskfiles prepares files of tasks for a node: it renders templates and fetches artifacts. Nodes start it when a
// job needs it; what they say to each other is in package protocol of the node.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"sync"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
	"github.com/droverhq/drover/taskfiles/fetch"
	"github.com/droverhq/drover/taskfiles/render"
)

func main() {
	log.SetOutput(io.Discard) // of libraries
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: %s %s|%s: it is started by drover agents", protocol.Binary, protocol.VerbRender, protocol.VerbFetch))
	}
	var err error
	switch os.Args[1] {
	case protocol.VerbRender:
		os.Clearenv() // a template sees its task's environment only
		if err = confine(""); err == nil {
			err = renderAll(os.Stdin, os.Stdout)
		}
	case protocol.VerbFetch:
		err = fetchOne(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("unknown verb %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// renderAll answers requests, each as it is ready, until the input ends.
func renderAll(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var one sync.Mutex
	for {
		q := new(protocol.Render)
		if err := dec.Decode(q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		go func() {
			answer := render.Do(q)
			one.Lock()
			defer one.Unlock()
			if err := enc.Encode(answer); err != nil {
				fail(err)
			}
		}()
	}
}

// fetchOne fetches what the one request asks for; the end of the input ends it.
func fetchOne(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var q protocol.Fetch
	if err := dec.Decode(&q); err != nil {
		return err
	}
	go func() {
		var more json.RawMessage
		if dec.Decode(&more) != nil {
			os.Exit(2) // the node is gone
		}
	}()
	// What lies above the directory may be closed to the user that the helper is going to be.
	if err := os.Chdir(q.Dir); err != nil {
		return err
	}
	q.Dir = "."
	if err := confine(q.Dir); err != nil {
		return err
	}
	var one sync.Mutex
	tell := func(f protocol.Fetched) {
		one.Lock()
		defer one.Unlock()
		if err := enc.Encode(f); err != nil {
			os.Exit(2)
		}
	}
	err := fetch.Do(context.Background(), &q, func(bytes, total int64) { tell(protocol.Fetched{Bytes: bytes, Total: total}) })
	done := protocol.Fetched{Done: true}
	if err != nil {
		done.Error, done.Permanent = err.Error(), fetch.Permanent(err)
	}
	tell(done)
	return nil
}
