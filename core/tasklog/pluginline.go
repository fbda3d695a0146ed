package tasklog

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// PluginLine is what a line of a plugin's stderr means.
type PluginLine struct {
	Level   hclog.Level
	Message string
	// Module is the logger's dotted name, Time when the plugin logged; both may be unknown.
	Module string
	Time   time.Time
	// Fields are keys and values by turns, ordered by key. Numbers are json.Number, so that none loses digits.
	Fields []any
}

// timestampLayout is hclog's for JSON.
const timestampLayout = "2006-01-02T15:04:05.000000Z07:00"

// plainLevels are the marks of loggers that do not write JSON; they stay in the message.
var plainLevels = []struct {
	prefix string
	level  hclog.Level
}{
	{"[TRACE]", hclog.Trace},
	{"[DEBUG]", hclog.Debug},
	{"[INFO]", hclog.Info},
	{"[WARN]", hclog.Warn},
	{"[ERROR]", hclog.Error},
}

// ParsePluginLine reads one line by the conventions of go-plugin: a JSON object of hclog, a level in brackets, or
// anything else, which is debug.
func ParsePluginLine(line []byte) PluginLine {
	line = bytes.TrimRight(line, "\r\n")
	if l, ok := parseJSONLine(line); ok {
		return l
	}
	text := string(line)
	for _, p := range plainLevels {
		if strings.HasPrefix(text, p.prefix) {
			return PluginLine{Level: p.level, Message: text}
		}
	}
	if isCrash(text) {
		return PluginLine{Level: hclog.Error, Message: text}
	}
	return PluginLine{Level: hclog.Debug, Message: text}
}

// isCrash recognises the first line that the Go runtime prints when a program dies.
func isCrash(text string) bool {
	return strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")
}

// parseJSONLine accepts objects with a level or a message; other JSON is just text.
func parseJSONLine(line []byte) (PluginLine, bool) {
	if len(line) == 0 || line[0] != '{' {
		return PluginLine{}, false
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var all map[string]any
	if dec.Decode(&all) != nil || dec.More() {
		return PluginLine{}, false
	}
	level, hasLevel := take(all, "@level")
	message, hasMessage := take(all, "@message")
	if !hasLevel && !hasMessage {
		return PluginLine{}, false
	}
	l := PluginLine{Level: hclog.LevelFromString(level), Message: message}
	if l.Level == hclog.NoLevel {
		l.Level = hclog.Debug
	}
	l.Module, _ = take(all, "@module")
	if stamp, ok := take(all, "@timestamp"); ok {
		l.Time, _ = time.Parse(timestampLayout, stamp)
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		l.Fields = append(l.Fields, k, all[k])
	}
	return l, true
}

// take removes a text value from the map.
func take(all map[string]any, key string) (string, bool) {
	text, ok := all[key].(string)
	if ok {
		delete(all, key)
	}
	return text, ok
}

// PluginLines reads the lines of one plugin process in order; the zero value is ready. Once the process has panicked,
// everything it prints is an error.
type PluginLines struct {
	crashed bool
}

// Parse reads the next line.
func (p *PluginLines) Parse(line []byte) PluginLine {
	l := ParsePluginLine(line)
	if isCrash(l.Message) {
		p.crashed = true
	}
	if p.crashed {
		l.Level = hclog.Error
	}
	return l
}
