package plugin

// The constants of the handshake. They are the public contract's.
const (
	// CookieKey and CookieValue are the environment variable that tells a binary it is launched as a plugin.
	CookieKey   = "NOMAD_PLUGIN_MAGIC_COOKIE"
	CookieValue = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"
	// CoreVersion is the version of the handshake itself.
	CoreVersion = 1
	// AppVersion is the version of the contract's generation: gRPC.
	AppVersion = 2
)
