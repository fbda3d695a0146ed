// Package api is the HTTP API. One table (routes.go) names every route with its method, the rule a caller's token must
// satisfy, and its handler; one file per resource holds the handlers. A handler reads a snapshot of state or calls a
// method of the server and returns a value; everything about HTTP (parameters, blocking queries, paging, filters,
// compression, headers, errors) happens once, around it.
package api
