// Package certs is what agents show each other: certificates made by one authority of the operator's, whose names say what
// an agent may do. It reads and renews them (Source), tells roles by names (RoleOf), and makes them (NewCA, CA.Issue).
package certs
