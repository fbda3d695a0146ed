package api

import (
	"net/http"
	"net/url"
	"strings"
)

// route is one row of the table.
type route struct {
	methods string // "GET", "PUT" (PUT and POST are the same to clients), "DELETE"; several separated by a space
	path    string // "/v1/job/:id/versions/:tag/tag"; the first parameter may span slashes
	rule    string // what a token needs; "" anyone. Enforced once access control exists, stated from the start
	handler handler
}

// handler answers a request with a value that is sent as JSON, or writes the response itself and returns written.
type handler func(*request) (any, error)

// written is what a handler returns when it has written the response.
type written struct{}

// table finds the route for a path. Rows are compared segment by segment; a literal segment beats a parameter, and the
// first parameter of a row takes as many segments as the rest of the row leaves over, because job IDs contain slashes.
type table struct {
	rows []row
}

type row struct {
	route
	segs []string
}

func newTable(routes []route) *table {
	t := &table{}
	for _, r := range routes {
		t.rows = append(t.rows, row{r, strings.Split(strings.Trim(r.path, "/"), "/")})
	}
	return t
}

// find returns the route for method and escaped path with its parameters. known tells that the path exists, possibly
// for other methods.
func (t *table) find(method, escaped string) (r *route, params map[string]string, known bool) {
	segs := strings.Split(strings.Trim(escaped, "/"), "/")
	bestScore := -1
	for i := range t.rows {
		row := &t.rows[i]
		p, score := row.match(segs)
		if p == nil {
			continue
		}
		known = true
		if !row.allows(method) || score <= bestScore {
			continue
		}
		r, params, bestScore = &row.route, p, score
	}
	return r, params, known
}

func (r *row) allows(method string) bool {
	if method == http.MethodPost {
		method = http.MethodPut
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, m := range strings.Fields(r.methods) {
		if m == http.MethodPost {
			m = http.MethodPut
		}
		if m == method {
			return true
		}
	}
	return false
}

// match returns the parameters and the number of literal segments, or nil.
func (r *row) match(segs []string) (map[string]string, int) {
	extra := len(segs) - len(r.segs)
	if extra < 0 {
		return nil, 0
	}
	params := map[string]string{}
	literal, i := 0, 0
	for _, want := range r.segs {
		if !strings.HasPrefix(want, ":") {
			if i >= len(segs) || segs[i] != want {
				return nil, 0
			}
			literal++
			i++
			continue
		}
		n := 1 + extra
		extra = 0
		if i+n > len(segs) {
			return nil, 0
		}
		v, err := url.PathUnescape(strings.Join(segs[i:i+n], "/"))
		if err != nil || v == "" {
			return nil, 0
		}
		params[want[1:]] = v
		i += n
	}
	if i != len(segs) {
		return nil, 0
	}
	return params, literal
}
