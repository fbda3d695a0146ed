#! env: NOMAD_VAR_zone=from-env
#! env: DROVER_VAR_image=busybox:1
#! env: NOMAD_VAR_image=loses
#! env: NOMAD_VAR_nobody=ignored
#! varfile: values.vars
#! varfile: more.json
#! var: count=4
#! var: ports=[8080, 8081]
#! var: text=01
variable "zone" { type = string }
variable "image" { default = "none" }
variable "count" {
  type    = number
  default = 1
  validation {
    condition     = var.count > 0 && var.count < 10
    error_message = "Between 1 and 9."
  }
}
variable "ports" { type = list(number) }
variable "text" { type = string }
variable "limits" {
  description = "Two numbers with defaults for what is left out."
  type = object({
    cpu    = number
    memory = optional(number, 64)
  })
}
variable "from_file" {}
variable "untyped_list" { default = ["a"] }
variables {
  short = "s"
}
job "vars" {
  datacenters = [var.zone]
  group "g" {
    count = var.count
    network {
      dynamic "port" {
        for_each = var.ports
        labels   = ["p${port.key}"]
        content {
          static = port.value
        }
      }
    }
    task "t" {
      driver = "exec"
      config {
        image = "${var.image}-${var.text}-${var.short}"
        file  = var.from_file
        list  = var.untyped_list
      }
      resources {
        cpu    = var.limits.cpu
        memory = var.limits.memory
      }
    }
  }
}
