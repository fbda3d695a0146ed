# Variables and what can be made of them. Give values with
#   drover job run -var greeting=hello -var-file my.vars variables.nomad.hcl
# or in the environment as DROVER_VAR_greeting.
variable "greeting" {
  type        = string
  default     = "Good morning"
  description = "What the tasks say."

  validation {
    condition     = strlen(var.greeting) > 0
    error_message = "There must be something to say."
  }
}

variable "workers" {
  type = list(object({
    name   = string
    memory = optional(number, 16)
  }))
  default = [{ name = "anna" }, { name = "ben", memory = 32 }]
}

locals {
  text = "${upper(var.greeting)} from ${local.where}"

  # What is not known here is filled in on the node.
  where = "${node.unique.name} (${attr.kernel.name})"
}

job "variables" {
  type = "batch"

  meta {
    workers = join(",", [for w in var.workers : w.name])
  }

  dynamic "group" {
    for_each = var.workers
    labels   = [group.value.name]

    content {
      task "speak" {
        driver = "raw_exec"

        config {
          command = "/bin/sh"
          args = ["-c", <<-EOF
            echo "$TEXT"
            echo "I am ${group.value.name}, one of $NOMAD_META_workers."
          EOF
          ]
        }

        env {
          TEXT = local.text
        }

        resources {
          cpu    = 20
          memory = group.value.memory
        }
      }
    }
  }
}
