package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// maxSchema bounds a schema in its wire form: it comes from a plugin, and every server keeps it.
const maxSchema = 1 << 20

// schemaCache keeps schemas in the form that checks configurations.
type schemaCache struct {
	mu       sync.Mutex
	byDigest map[string]*schema.Spec
}

func newSchemaCache() *schemaCache { return &schemaCache{byDigest: map[string]*schema.Spec{}} }

// parse reads a schema and checks that it is what its digest says.
func (c *schemaCache) parse(digest string, wire []byte) (*schema.Spec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.byDigest[digest]; s != nil {
		return s, nil
	}
	if len(wire) > maxSchema {
		return nil, fmt.Errorf("schema has %d bytes, more than the limit of %d", len(wire), maxSchema)
	}
	s, err := decodeSchema(wire)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(wire)
	if digest != hex.EncodeToString(sum[:]) && digest != s.Digest() {
		return nil, fmt.Errorf("the schema is not the one with digest %s that the node names", digest)
	}
	c.byDigest[digest] = s
	return s, nil
}

// decodeSchema reads a schema in its wire form or, as the plugin host keeps it, in JSON.
func decodeSchema(data []byte) (*schema.Spec, error) {
	if bytes.HasPrefix(data, []byte("{")) {
		s := new(schema.Spec)
		if err := json.Unmarshal(data, s); err != nil {
			return nil, fmt.Errorf("decode schema: %w", err)
		}
		return s, s.Check()
	}
	var p hclspecv1.Spec
	if err := proto.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	s, err := schema.FromProto(&p)
	if err == nil && s == nil {
		err = errors.New("decode schema: it is empty")
	}
	return s, err
}

// checkConfigs checks every task's config against the schemas of its driver that nodes have: one that accepts it is
// enough. checked tells whether there was one for every driver.
func (s *Server) checkConfigs(snap *state.Snapshot, j *model.Job) (warnings []string, problems model.Problems, checked bool) {
	checked = true
	for _, g := range j.TaskGroups {
		for _, t := range g.Tasks {
			path := fmt.Sprintf("group %q > task %q", g.Name, t.Name)
			schemas := snap.Schemas(t.Driver)
			if len(schemas) == 0 {
				checked = false
				why := fmt.Sprintf("no node has registered a configuration schema for driver %q: the config block was not checked", t.Driver)
				if !snap.DriverOnNodes(t.Driver) {
					why = fmt.Sprintf("no node has driver %q at present: the config block was not checked, and the task waits for a node that has it", t.Driver)
				}
				warnings = append(warnings, model.Problem{Path: path, Message: why}.Error())
				continue
			}
			problems = append(problems, s.checkConfig(path, t, schemas)...)
		}
	}
	return warnings, problems, checked
}

func (s *Server) checkConfig(path string, t *model.Task, schemas []*state.Schema) (problems model.Problems) {
	for _, sc := range schemas {
		spec, err := s.schemas.parse(sc.Digest, sc.Spec)
		if err != nil {
			continue
		}
		diags := spec.Validate(t.Config)
		if !diags.HasErrors() {
			return nil
		}
		for _, d := range diags {
			if d.Severity == schema.Error {
				problems = append(problems, model.Problem{Path: path + " > config", Message: refusal(d, sc)})
			}
		}
	}
	return problems
}

// refusal names the key, what is wrong with it and which version of the driver says so.
func refusal(d schema.Diagnostic, sc *state.Schema) string {
	driver := strings.TrimSpace("driver " + sc.Driver + " " + sc.Version)
	return fmt.Sprintf("%s (%s)", d.String(), driver)
}
