#! var: undeclaredd=1
#! var: number=three
#! var: list=[1, 
#! var: object={ b = 1 }
#! var: small=0
#! varfile: broken.vars
#! varfile: wrong.vars
#! env: DROVER_VAR_flag=maybe
variable "undeclared" { default = "" }
variable "number" {
  type    = number
  default = 1
}
variable "list" { type = list(string) }
variable "object" { type = object({ a = string }) }
variable "flag" {
  type    = bool
  default = false
}
variable "small" {
  type = number
  validation {
    condition     = var.small > 0
    error_message = "It must be positive."
  }
}
job "a" {}
