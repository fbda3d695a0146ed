package pause

import _ "embed"

//go:embed pause_arm64.bin
var embedded string

func program() []byte { return []byte(embedded) }
