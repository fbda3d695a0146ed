job "a" {
  group "g" {
    volume "v" {}
    volume "v" {}
  }
}
