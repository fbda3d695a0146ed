// Package agent puts the parts of a process together from its configuration: the server, the node with its plugin host
// and log collector, and the HTTP API; it starts them in order, reloads them and stops them in the opposite order.
package agent
