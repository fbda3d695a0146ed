// Package sdk_test keeps the promises the module makes to authors.
package sdk_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestAtMost30Requirements: a driver pulls in little.
func TestAtMost30Requirements(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct{ Path string }
		Replace []struct{}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if n := len(mod.Require); n == 0 || n > 30 {
		t.Errorf("go.mod lists %d requirements, at most 30 are promised", n)
	}
	if len(mod.Replace) > 0 {
		t.Error("go.mod has replace directives, which authors would have to repeat")
	}
}
