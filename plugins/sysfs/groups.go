//go:build linux

package sysfs

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
)

// Groups puts devices into groups as they are found. A group has the attributes that all of its devices share.
type Groups struct {
	order      []string
	groups     map[string]*device.Group
	attributes map[string][]map[string]attribute.Value
}

// NewGroups returns none.
func NewGroups() *Groups {
	return &Groups{groups: map[string]*device.Group{}, attributes: map[string][]map[string]attribute.Value{}}
}

// Add puts a device into its group.
func (g *Groups) Add(vendor, typ, name string, i device.Instance, a map[string]attribute.Value) {
	key := strings.Join([]string{vendor, typ, name}, "/")
	if g.groups[key] == nil {
		g.groups[key] = &device.Group{Vendor: vendor, Type: typ, Name: name}
		g.order = append(g.order, key)
	}
	g.groups[key].Devices = append(g.groups[key].Devices, i)
	g.attributes[key] = append(g.attributes[key], a)
}

// List returns the groups in the order in which they were found.
func (g *Groups) List() []device.Group {
	var out []device.Group
	for _, key := range g.order {
		group := *g.groups[key]
		group.Attributes = Common(g.attributes[key])
		out = append(out, group)
	}
	return out
}

var idPattern = regexp.MustCompile(`^([0-9a-f]{4}|\*):([0-9a-f]{4}|\*)$`)

// CheckID reports why a pattern of ids cannot be used: it is vendor:product, four hexadecimal digits or * each.
func CheckID(pattern string) error {
	if !idPattern.MatchString(pattern) {
		return fmt.Errorf("%q names no devices: want vendor:product, each four hexadecimal digits in lower case or *, such as 0403:6001 or 0403:*", pattern)
	}
	return nil
}

// MatchID tells whether one of the patterns fits an id, vendor:product.
func MatchID(patterns []string, id string) bool {
	vendor, product, _ := strings.Cut(id, ":")
	for _, p := range patterns {
		v, pr, _ := strings.Cut(p, ":")
		if (v == "*" || v == vendor) && (pr == "*" || pr == product) {
			return true
		}
	}
	return false
}
