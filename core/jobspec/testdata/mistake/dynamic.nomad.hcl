job "a" {
  dynamic "grup" {
    for_each = []
    content {}
  }
  dynamic "group" {
    for_each = 5
    labels   = ["x"]
    content {}
  }
  dynamic "group" {
    for_each = [1]
    content {}
  }
  dynamic "group" {
    for_each = [1]
    labels   = [1, 2]
    content {}
  }
  dynamic "constraint" {
    content {}
  }
  dynamic "constraint" {
    for_each = []
  }
}
