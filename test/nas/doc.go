// Package nas has the built programs copy nights to what stands at clients: a mounted share, an SMB share, SFTP servers,
// rsync by a daemon and over ssh, and the object stores S3 and Azure Blob Storage. Each night is run well once with real recordings, and then with everything that goes
// wrong at such a place: it dies, fills up, changes its password, takes no writes, is slow, alters files, and loses its
// connections. What arrived is compared by programs that know nothing of this module. It looks at drivers from outside
// only; what each of them must be able to do is in package desttest.
package nas
