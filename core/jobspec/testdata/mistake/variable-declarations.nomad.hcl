variable "a" { default = 1 }
variable "a" { default = 2 }
variable "1b" {}
variable "c" {
  type    = number
  default = "x"
}
variable "d" {
  type = strin
}
variable "e" {
  defualt = 1
}
variable "f" {
  default = 1
  validation {
    condition     = var.a > 0
    error_message = "x"
  }
  validation {
    condition     = true
    error_message = "x"
  }
  validation {
    condition     = var.f > 0
    error_message = " "
  }
}
job "a" {}
