// Package rpc is how servers and nodes talk.
//
// A server listens on one port. The first byte of a connection says what it is: 'P' is the start of an HTTP/2 preface
// and means plain gRPC (other servers, tools); any other byte is a tag: TagNode opens a node session, TagRaft a raft
// connection, TagHTTP requests of the HTTP API that another agent passes on. With TLS (Security) the protocol of the
// handshake says it instead.
//
// A node session is one TCP connection that carries yamux streams. gRPC runs over those streams in both directions:
// the node calls the server (register, push status, receive its allocations), the server calls the node (logs, files,
// exec, statistics, signals) over the connection the node opened, so nodes behind address translation work.
//
// Messages are Go structs, mostly of package model, encoded with msgpack: there is no second set of types to keep in
// step. Method values (Unary, Stream, Bidi) name a call once and are used by both ends:
//
//	var NodeRegister = rpc.Unary[RegisterRequest, RegisterResponse]{Name: "/drover.core.v1.Server/NodeRegister"}
//
//	NodeRegister.Handle(registry, srv.register)        // serving end
//	resp, err := NodeRegister.Call(ctx, conn, &req)    // calling end
//
// Errors keep their class across the wire: see Error.
package rpc
