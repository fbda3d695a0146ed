// Package fleet keeps what the scheduler asks of every node (capacity, use, class, eligibility, driver health) as
// columns indexed by node number, so that a pass over thousands of nodes reads a few arrays instead of thousands of
// structs and their allocations.
//
// Columns lie in pages. A Snapshot shares all pages with the Table; the Table copies a page when it changes one that a
// snapshot may see. Taking a snapshot costs a copy of the page list, changing a node after it the copy of one page.
//
// What cannot be counted (which ports, which cores, which device instances) lies beside the columns, one small Exact per
// node that has any.
package fleet
