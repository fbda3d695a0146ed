package secretenv

import "testing"

func TestMatch(t *testing.T) {
	for name, secret := range map[string]bool{
		"GITHUB_TOKEN": true, "github_token": true, "DB_PASSWORD": true, "AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true,
		"NOMAD_TOKEN": true, "CONSUL_HTTP_TOKEN_FILE": true, "GOOGLE_APPLICATION_CREDENTIALS": true, "CONSUL_HTTP_AUTH": true,
		"DROVER_GOSSIP_KEY": true, "VAULT_SECRET_ID": true,
		"PATH": false, "HOME": false, "AWS_REGION": false, "TOKENIZER": false, "NOMAD_ADDR": false, "KEYBOARD": false,
	} {
		if got := Match(Names(), name); got != secret {
			t.Errorf("%s: secret = %v, want %v", name, got, secret)
		}
	}
	if !Match([]string{"Mixed*"}, "MixedCase") || Match([]string{"[bad"}, "anything") {
		t.Error("a pattern is compared as it is, one that is none matches nothing")
	}
}
