// Command local-kms runs github.com/nsmithuk/local-kms on a loopback address.
//
// The program of that module listens on all interfaces and on nothing else. Its function Run registers
// the handlers before it listens, so Run is given a port that cannot be listened on; what it would end
// the process with is caught, and the handlers are served on 127.0.0.1 instead.
//
// Usage: local-kms PORT FOLDER. The keys are kept in FOLDER; the file FOLDER/ready says that it listens.
package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/nsmithuk/local-kms/src"
	"github.com/nsmithuk/local-kms/src/config"
	"github.com/sirupsen/logrus"
)

func main() {
	if len(os.Args) != 3 {
		logrus.Fatal("usage: local-kms PORT FOLDER")
	}
	port, folder := os.Args[1], os.Args[2]
	config.AWSAccountId = "111122223333"
	config.AWSRegion = "us-east-1"
	config.DatabasePath = filepath.Join(folder, "keys")
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		logrus.Fatal(err)
	}
	registered := make(chan struct{})
	standard := logrus.StandardLogger()
	output := standard.Out
	standard.Out = io.Discard
	standard.ExitFunc = func(int) {
		close(registered)
		select {} // Run never returns: it would close the database.
	}
	go src.Run("none", "")
	<-registered
	standard.Out, standard.ExitFunc = output, os.Exit
	if err := os.WriteFile(filepath.Join(folder, "ready"), nil, 0o600); err != nil {
		logrus.Fatal(err)
	}
	logrus.Fatal(http.Serve(listener, http.DefaultServeMux))
}
