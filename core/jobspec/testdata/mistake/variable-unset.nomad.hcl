variable "image" { type = string }
variable "fine" { default = 1 }
job "a" {
  group "g" {
    task "t" { driver = var.image }
  }
}
