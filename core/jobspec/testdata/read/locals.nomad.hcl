# Locals in any order, over several blocks.
locals {
  name = "${local.prefix}-${var.env}"
  all  = merge(local.base, { b = 2 })
}
variable "env" { default = "prod" }
locals {
  base   = { a = 1 }
  prefix = upper("app")
  node   = "${node.unique.name}/${local.prefix}"
}
job "locals" {
  name = local.name
  meta = {
    where = local.node
    all   = jsonencode(local.all)
  }
  group "g" {
    task "t" { driver = "exec" }
  }
}
