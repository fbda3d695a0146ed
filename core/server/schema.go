package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// Schemas come from plugins, and every server keeps them: one in its wire form, those of one node together, and what is
// kept of them in memory have a limit. Depth and number of parts are package schema's to limit.
const (
	maxSchema      = 1 << 20
	maxNodeSchemas = 4 << 20
	maxCached      = 4096
)

// schemaCache keeps schemas in the form that checks configurations, and what came of the checks. Both are found anew
// when the cache was full and emptied.
type schemaCache struct {
	mu       sync.Mutex
	byDigest map[string]*schema.Spec
	verdicts map[verdictKey]schema.Diagnostics
}

// verdictKey is a configuration and the schema it was checked against.
type verdictKey struct {
	digest string
	config [sha256.Size]byte
}

func newSchemaCache() *schemaCache {
	return &schemaCache{byDigest: map[string]*schema.Spec{}, verdicts: map[verdictKey]schema.Diagnostics{}}
}

// parse reads a schema and checks that it is what its digest says.
func (c *schemaCache) parse(digest string, wire []byte) (*schema.Spec, error) {
	c.mu.Lock()
	s := c.byDigest[digest]
	c.mu.Unlock()
	if s != nil {
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byDigest) >= maxCached {
		clear(c.byDigest)
	}
	c.byDigest[digest] = s
	return s, nil
}

// check checks a configuration. Values with ${...} in them are unknown and pass. The same configuration is checked
// against the same schema once.
func (c *schemaCache) check(sc *state.Schema, config map[string]any) (schema.Diagnostics, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	key := verdictKey{sc.Digest, sha256.Sum256(text)}
	c.mu.Lock()
	found, known := c.verdicts[key]
	c.mu.Unlock()
	if known {
		return found, nil
	}
	spec, err := c.parse(sc.Digest, sc.Spec)
	if err != nil {
		return nil, err
	}
	for _, d := range spec.Validate(config) {
		if d.Severity == schema.Error {
			found = append(found, d)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.verdicts) >= maxCached {
		clear(c.verdicts)
	}
	c.verdicts[key] = found
	return found, nil
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

// acceptSchemas returns those of a node's schemas that can be used. One that cannot counts as not registered.
func (s *Server) acceptSchemas(nodeID string, given []rpc.DriverSchema) (accepted []consensus.DriverSchema) {
	size := 0
	for _, sc := range given {
		size += len(sc.Spec)
		_, err := s.schemas.parse(sc.Digest, sc.Spec)
		if err == nil && size > maxNodeSchemas {
			err = fmt.Errorf("the node's schemas together have more than the limit of %d bytes", maxNodeSchemas)
		}
		if err != nil {
			s.logger.Warn("driver schema not accepted: configurations are not checked against it",
				"node", nodeID, "driver", sc.Driver, "version", sc.Version, "error", err)
			continue
		}
		accepted = append(accepted, consensus.DriverSchema(sc))
	}
	return accepted
}

// configs answers the scheduler's questions about configurations as of a snapshot.
func (s *Server) configs(snap *state.Snapshot) *configs { return &configs{s.schemas, snap} }

type configs struct {
	cache *schemaCache
	snap  *state.Snapshot
}

// Refusal implements feasible.Configs.
func (c *configs) Refusal(driver, digest string, t *model.Task) string {
	sc := c.snap.Schema(driver, digest)
	if sc == nil {
		return ""
	}
	found, err := c.cache.check(sc, t.Config)
	if err != nil || len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("config of task %q not accepted by %s: %s", t.Name, versionOf(sc), summary(found))
}

func summary(found schema.Diagnostics) string {
	text := found[0].String()
	if more := len(found) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}
