#! strict: false
#! var: imagee=x
variable "image" { default = "y" }
job "j" {
  group "g" {
    task "t" { driver = var.image }
  }
}
