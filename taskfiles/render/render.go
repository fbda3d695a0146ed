// Package render renders one template with the functions of consul-template. What those functions would ask a catalog,
// a key-value store or the disk for comes with the request; what does not is reported as missing or refused.
package render

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"

	dep "github.com/hashicorp/consul-template/dependency"
	ct "github.com/hashicorp/consul-template/template"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// Do renders. It never fails as a whole: what is wrong is in the answer.
func Do(q *protocol.Render) protocol.Rendered {
	d := &data{known: map[protocol.Need]protocol.Known{}, region: q.Region}
	for _, k := range q.Known {
		d.known[k.Need] = k
	}
	answer := protocol.Rendered{ID: q.ID}
	out, err := d.execute(q)
	answer.Used, answer.Missing = d.used, d.missing
	switch {
	case len(d.missing) > 0: // an error may come from the values that stood in for what is missing
	case err != nil:
		answer.Error = err.Error()
	case len(out) > protocol.MaxOutput:
		answer.Error = fmt.Sprintf("the text has %d bytes, more than the %d that a template may render", len(out), protocol.MaxOutput)
	default:
		answer.Output = out
	}
	return answer
}

func (d *data) execute(q *protocol.Render) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the template library panicked: %v", p)
		}
	}()
	if q.Text == "" {
		return nil, nil
	}
	t, err := ct.NewTemplate(&ct.NewTemplateInput{
		Contents: q.Text, LeftDelim: q.Left, RightDelim: q.Right, ErrMissingKey: q.ErrMissingKey,
		ExtFuncMap: d.functions(), FunctionDenylist: q.Denied,
	})
	if err != nil {
		return nil, err
	}
	result, err := t.Execute(&ct.ExecuteInput{Brain: ct.NewBrain(), Env: q.Env})
	if err != nil {
		return nil, err
	}
	return result.Output, nil
}

// data answers the functions that ask for something outside of the template.
type data struct {
	known   map[protocol.Need]protocol.Known
	region  string
	used    []protocol.Need
	missing []protocol.Need
}

// functions replace every function of the library that would ask somebody.
func (d *data) functions() template.FuncMap {
	m := template.FuncMap{
		"nomadService":  d.nomadService,
		"nomadServices": d.nomadServices,
		"service":       d.service,
		"services":      d.services,
		"file":          d.file,
	}
	for _, name := range []string{
		"caLeaf", "caRoots", "connect", "datacenters", "exportedServices", "key", "keyExists", "keyOrDefault", "ls", "node", "nodes",
		"partitions", "peerings", "safeLs", "safeTree", "tree",
	} {
		m[name] = refuse(name + " reads from Consul, which this release does not connect to")
	}
	for _, name := range []string{"pkiCert", "secret", "secrets"} {
		m[name] = refuse(name + " reads from Vault, which this release does not connect to")
	}
	for _, name := range []string{"nomadVar", "nomadVarExists", "nomadVarList", "nomadVarListSafe"} {
		m[name] = refuse(name + " reads variables, which this release does not have")
	}
	return m
}

func refuse(reason string) func(...any) (any, error) {
	return func(...any) (any, error) { return nil, errors.New(reason) }
}

func (d *data) ask(n protocol.Need) (protocol.Known, bool) {
	if !slices.Contains(d.used, n) {
		d.used = append(d.used, n)
	}
	k, ok := d.known[n]
	if !ok && !slices.Contains(d.missing, n) {
		d.missing = append(d.missing, n)
	}
	return k, ok
}

// serviceName is [tag.]name[@region].
var serviceName = regexp.MustCompile(`^(?:([^.@|]+)\.)?([A-Za-z0-9_-]+)(?:@([A-Za-z0-9_.-]+))?$`)

// instances looks a service up as text names it.
func (d *data) instances(text string, choose int, hash string) ([]protocol.Service, error) {
	m := serviceName.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("service %q: want [tag.]name[@region]", text)
	}
	if m[3] != "" && m[3] != d.region {
		return nil, fmt.Errorf("service %q: only region %q can be read", text, d.region)
	}
	k, _ := d.ask(protocol.Need{Kind: protocol.NeedService, Name: m[2], Choose: choose, Hash: hash})
	out := slices.Clone(k.Services)
	if m[1] != "" {
		out = slices.DeleteFunc(out, func(s protocol.Service) bool { return !slices.Contains(s.Tags, m[1]) })
	}
	return out, nil
}

// nomadService is called with <service> or <count> <key> <service>.
func (d *data) nomadService(args ...any) ([]*dep.NomadService, error) {
	name, count, hash := "", 0, ""
	var ok bool
	switch len(args) {
	case 1:
		name, ok = args[0].(string)
	case 3:
		count, ok = args[0].(int)
		hash = fmt.Sprint(args[1])
		if name, _ = args[2].(string); count < 1 {
			return nil, fmt.Errorf("nomadService: the count must be at least 1, got %d", count)
		}
	}
	if !ok || name == "" {
		return nil, errors.New("nomadService: want <service> or <count> <key> <service>")
	}
	list, err := d.instances(name, count, hash)
	out := make([]*dep.NomadService, 0, len(list))
	for _, s := range list {
		out = append(out, &dep.NomadService{
			ID: s.ID, Name: s.Name, Node: s.NodeID, Address: s.Address, Port: s.Port, Datacenter: s.Datacenter, Tags: tags(s.Tags),
			JobID: s.JobID, AllocID: s.AllocID,
		})
	}
	return out, err
}

func (d *data) nomadServices(region ...string) ([]*dep.NomadServicesSnippet, error) {
	if len(region) > 0 && strings.TrimPrefix(region[0], "@") != d.region {
		return nil, fmt.Errorf("nomadServices: only region %q can be read", d.region)
	}
	k, _ := d.ask(protocol.Need{Kind: protocol.NeedServices})
	out := make([]*dep.NomadServicesSnippet, 0, len(k.Names))
	for _, s := range k.Names {
		out = append(out, &dep.NomadServicesSnippet{Name: s.Name, Tags: tags(s.Tags)})
	}
	return out, nil
}

// service reads the built-in catalog with the fields of Consul's; every instance there counts as passing.
func (d *data) service(args ...string) ([]*dep.HealthService, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, errors.New("service: want <service> and at most one filter")
	}
	list, err := d.instances(strings.TrimSpace(args[0]), 0, "")
	out := make([]*dep.HealthService, 0, len(list))
	for _, s := range list {
		out = append(out, &dep.HealthService{
			Node: s.NodeID, NodeID: s.NodeID, NodeAddress: s.Address, Address: s.Address, ID: s.ID, Name: s.Name, Port: s.Port,
			Tags: tags(s.Tags), Status: "passing",
		})
	}
	return out, err
}

func (d *data) services(...string) ([]*dep.CatalogSnippet, error) {
	k, _ := d.ask(protocol.Need{Kind: protocol.NeedServices})
	out := make([]*dep.CatalogSnippet, 0, len(k.Names))
	for _, s := range k.Names {
		out = append(out, &dep.CatalogSnippet{Name: s.Name, Tags: tags(s.Tags)})
	}
	return out, nil
}

func (d *data) file(path string) (string, error) {
	if path == "" {
		return "", errors.New("file: the path is empty")
	}
	k, _ := d.ask(protocol.Need{Kind: protocol.NeedFile, Name: path})
	return string(k.File), nil
}

func tags(list []string) dep.ServiceTags {
	return dep.ServiceTags(slices.SortedFunc(slices.Values(list), cmp.Compare[string]))
}
