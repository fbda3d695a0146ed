locals {
  a = local.b
  b = local.a
  c = 1
}
job "a" {}
