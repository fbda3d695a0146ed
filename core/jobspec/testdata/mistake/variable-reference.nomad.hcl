variable "image" { default = "x" }
job "a" {
  name = "${var.imag}-${local.nothing}"
  meta = { a = lenght([1]) }
}
