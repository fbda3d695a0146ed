job "web" {
  group "app" {
    count = 
    task "server" {
  }
}
