package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFromForeignPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromForeignPage(r) {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	port := address[strings.LastIndex(address, ":"):]
	for name, tc := range map[string]struct {
		method, host, origin, token, upgrade string
		refused                              bool
	}{
		"command line":                 {method: "PUT"},
		"page of another site":         {method: "POST", origin: "http://evil.example", refused: true},
		"sandboxed page":               {method: "POST", origin: "null", refused: true},
		"page on another port":         {method: "DELETE", origin: "http://127.0.0.1:1", refused: true},
		"reading":                      {method: "GET", origin: "http://evil.example"},
		"websocket of another site":    {method: "GET", origin: "http://evil.example", upgrade: "websocket", refused: true},
		"websocket of a name by now":   {method: "GET", host: "evil.example" + port, origin: "http://evil.example" + port, upgrade: "websocket", refused: true},
		"websocket of an own page":     {method: "GET", origin: server.URL, upgrade: "websocket"},
		"websocket of a command line":  {method: "GET", upgrade: "websocket"},
		"with a token":                 {method: "POST", origin: "http://evil.example", token: "t"},
		"own page":                     {method: "POST", origin: server.URL},
		"own page as localhost":        {method: "POST", host: "localhost" + port, origin: "http://localhost" + port},
		"name that points here by now": {method: "POST", host: "evil.example" + port, origin: "http://evil.example" + port, refused: true},
		"command line with a name":     {method: "POST", host: "drover.internal" + port},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.host != "" {
				r.Host = tc.host
			}
			for k, v := range map[string]string{"Origin": tc.origin, "X-Nomad-Token": tc.token, "Upgrade": tc.upgrade} {
				if v != "" {
					r.Header.Set(k, v)
				}
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.StatusCode == http.StatusForbidden; got != tc.refused {
				t.Errorf("refused %v, want %v", got, tc.refused)
			}
		})
	}
}
