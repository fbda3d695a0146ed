// Package driver is what an author of a task driver implements: the interface Driver, optional abilities named With...,
// and the types they speak. Its doc comments are the author's manual; start at Driver.
//
//	func main() {
//		plugin.Serve(driver.New(driver.Info{Name: "hello", Version: "0.1.0"}, &hello{}))
//	}
package driver
