package schema

// StringMap is a map that users may write in three ways: as a block, as an object and as a list of objects. On the wire
// it is a list of maps; entries are merged and later ones win.
type StringMap map[string]string

// NumberMap is the same with whole numbers, such as label -> port.
type NumberMap map[string]int
