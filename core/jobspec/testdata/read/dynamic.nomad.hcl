job "dynamic" {
  dynamic "group" {
    for_each = [{ name = "a", count = 1 }, { name = "b", count = 2 }]
    labels   = [group.value.name]
    content {
      count = group.value.count
      dynamic "task" {
        for_each = range(group.value.count)
        iterator = n
        labels   = ["${group.value.name}-${n.value}"]
        content {
          driver = "exec"
          env    = { N = n.key }
          dynamic "constraint" {
            for_each = n.value == 0 ? [] : ["linux"]
            content {
              attribute = "${attr.kernel.name}"
              value     = constraint.value
            }
          }
        }
      }
    }
  }
}
