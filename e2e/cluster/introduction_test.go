package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// A machine that the servers do not know joins with a token of theirs, once, and is told why without one.
func TestIntroduction(t *testing.T) {
	ports := harness.FreePorts(t)
	server := harness.Start(t, harness.Options{
		Ports: ports, Config: "name = \"s\"\n", Server: "client_introduction {\n enforcement = \"strict\"\n}\n",
	})
	var token struct{ ID, JWT string }
	if err := json.Unmarshal([]byte(server.MustCLI("node", "intro", "create", "-json")), &token); err != nil || token.JWT == "" {
		t.Fatalf("no token: %v", err)
	}
	newNode := func(name, token string) *harness.Agent {
		n := harness.New(t, harness.Options{
			Config: fmt.Sprintf("name = %q\n", name), Client: fmt.Sprintf("servers = [\"127.0.0.1:%d\"]", ports.RPC),
			Env: []string{"DROVER_CLIENT_INTRO_TOKEN=" + token},
		})
		n.Run()
		return n
	}
	says := func(n *harness.Agent, why string) {
		n.Eventually(time.Minute, "the node says why it may not join", func() error {
			if !n.Logged(why) || !server.Logged("a new node was refused") {
				return errors.New("not logged: " + why)
			}
			return nil
		})
		n.Stop()
	}
	says(newNode("stranger", ""), "shows no introduction token")
	member := newNode("member", token.JWT)
	member.WaitReady()
	says(newNode("replayed", token.JWT), "used up")

	var nodes []struct{ Name string }
	if err := server.Get("/v1/nodes", &nodes); err != nil || len(nodes) != 1 || nodes[0].Name != "member" {
		t.Errorf("nodes: %v, %v", nodes, err)
	}
	server.MustCLI("node", "intro", "revoke", token.ID)
	member.Kill9() // what is known needs no token
	member.Run()
	member.WaitReady()
}
