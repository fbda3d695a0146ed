package template

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// parseEnv reads lines of KEY=value. Empty lines and lines that begin with # say nothing; "export" may stand first. A
// value in double quotes has escapes as in Go, one in single quotes is taken as it is.
func parseEnv(text []byte) (map[string]string, error) {
	out := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || !variable.MatchString(key) {
			return nil, fmt.Errorf("line %d is not KEY=value", i+1)
		}
		if n := len(value); n > 0 && (value[0] == '"' || value[0] == '\'') {
			if n < 2 || value[n-1] != value[0] {
				return nil, fmt.Errorf("line %d: the quotes of %s do not end", i+1, key)
			}
			if value[0] == '\'' {
				value = value[1 : n-1]
			} else {
				plain, err := strconv.Unquote(value)
				if err != nil {
					return nil, fmt.Errorf("line %d: the value of %s is not a quoted text", i+1, key)
				}
				value = plain
			}
		}
		out[key] = value
	}
	return out, nil
}
