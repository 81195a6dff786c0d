package fault

func s3English() map[topic]string {
	return map[topic]string{
		topicS3Billing: "Amazon has stopped the AWS account of the destination {place}, as a rule because a bill is not paid: whoever pays for it signs in at " +
			"https://console.aws.amazon.com/billing/home#/paymenthistory (Billing and Cost Management, Payments) and settles it; the agent tries to write once an hour",
		topicS3Disabled: "All access to the bucket of the destination {place} is disabled: check that it is your own bucket; then whoever pays for the account looks for an open " +
			"bill at https://console.aws.amazon.com/billing/home#/paymenthistory, and asks AWS Support; the agent tries to write once an hour",
		topicS3NotSignedUp: "The AWS account of the destination {place} is not activated for Amazon S3: whoever pays for it completes the sign-up and the payment method at " +
			"https://console.aws.amazon.com/billing/home#/paymentpreferences; the agent tries to write once an hour",
		topicS3Key: "The destination {place} does not know the access key: it was deleted, or is of another account; make one in the console (IAM, Users, Security " +
			"credentials) and put it into the agent's key file; if the account was closed, see Billing in the console",
		topicS3Secret:       "The secret of the access key for the destination {place} is wrong, or a proxy changed the request: put id and secret into the agent's key file as they were shown, each on its line",
		topicS3Token:        "The temporary credentials for the destination {place} have expired or are not valid: renew them, or give the agent an access key or a role",
		topicS3Denied:       "The agent's user may not do this in the bucket of the destination {place}: check its policy (IAM), the bucket's policy and the encryption key's; if everything is denied at once and nothing was changed, see Billing in the console",
		topicS3Bucket:       "There is no bucket of this name for the destination {place}: correct bucket, region and endpoint in the agent's configuration, or make the bucket; the agent never makes it itself",
		topicS3Region:       "The bucket of the destination {place} is in another region: put its region into the agent's configuration",
		topicS3Encryption:   "The encryption key of the destination {place} is missing, disabled or not allowed: check it in the console (Key Management Service), and sse and kms_key in the agent's configuration",
		topicS3StorageClass: "The destination {place} does not have this storage class: correct storage_class in the agent's configuration",
		topicS3Archived:     "A recording at the destination {place} is archived and cannot be read: restore it in the console, or let the bucket's rule archive later",
		topicS3State:        "The bucket of the destination {place} is not in a state for this: check its versioning and object lock",
		topicS3Unable:       "The store of the destination {place} cannot do what safe copying needs (conditional puts, SHA-256 checksums): use a version of it that can, or another store",
		topicS3Digest:       "The destination {place} received other bytes than were sent, and stored nothing: it is tried again; if it lasts, check the line, a proxy on the way, and this machine's memory",
		topicS3Restart:      "The destination {place} has given up an upload that was not complete: it is begun again; if it lasts, look at the bucket's rule for incomplete uploads",
		topicS3Provider:     "The provider of the destination {place} could not do it at the moment: it is tried again by itself; if it lasts, look at the provider's status page",
	}
}

func s3Spanish() map[topic]string {
	return map[topic]string{
		topicS3Billing: "Amazon ha suspendido la cuenta de AWS del destino {place}, por lo general por una factura impagada: quien la paga entra en " +
			"https://console.aws.amazon.com/billing/home#/paymenthistory (Billing and Cost Management, Payments) y lo resuelve; el agente intenta escribir una vez por hora",
		topicS3Disabled: "Todo acceso al bucket del destino {place} está deshabilitado: compruebe que el bucket sea suyo; después, quien paga la cuenta busca una factura " +
			"pendiente en https://console.aws.amazon.com/billing/home#/paymenthistory y pregunta a AWS Support; el agente intenta escribir una vez por hora",
		topicS3NotSignedUp: "La cuenta de AWS del destino {place} no está activada para Amazon S3: quien la paga completa el alta y el medio de pago en " +
			"https://console.aws.amazon.com/billing/home#/paymentpreferences; el agente intenta escribir una vez por hora",
		topicS3Key: "El destino {place} no conoce la clave de acceso: fue borrada o es de otra cuenta; cree una en la consola (IAM, Users, Security credentials) y póngala en el " +
			"archivo de clave del agente; si la cuenta se cerró, vea Billing en la consola",
		topicS3Secret:       "El secreto de la clave de acceso para el destino {place} es incorrecto, o un proxy cambió la petición: ponga el id y el secreto en el archivo de clave del agente tal como se mostraron, cada uno en su línea",
		topicS3Token:        "Las credenciales temporales para el destino {place} caducaron o no son válidas: renuévelas, o dé al agente una clave de acceso o un rol",
		topicS3Denied:       "El usuario del agente no puede hacer esto en el bucket del destino {place}: revise su política (IAM), la del bucket y la de la clave de cifrado; si todo se niega de golpe sin que nada cambiara, vea Billing en la consola",
		topicS3Bucket:       "No hay un bucket con este nombre para el destino {place}: corrija bucket, region y endpoint en la configuración del agente, o créelo; el agente nunca lo crea",
		topicS3Region:       "El bucket del destino {place} está en otra región: ponga su región en la configuración del agente",
		topicS3Encryption:   "La clave de cifrado del destino {place} falta, está deshabilitada o no se permite: revísela en la consola (Key Management Service), y sse y kms_key en la configuración del agente",
		topicS3StorageClass: "El destino {place} no tiene esta clase de almacenamiento: corrija storage_class en la configuración del agente",
		topicS3Archived:     "Una grabación en el destino {place} está archivada y no se puede leer: restáurela en la consola, o haga que la regla del bucket archive más tarde",
		topicS3State:        "El bucket del destino {place} no está en un estado que lo permita: revise su control de versiones y su bloqueo de objetos",
		topicS3Unable:       "El almacén del destino {place} no puede hacer lo que exige una copia segura (escrituras condicionales, sumas SHA-256): use una versión que pueda, u otro almacén",
		topicS3Digest:       "El destino {place} recibió otros bytes que los enviados y no guardó nada: se reintenta; si persiste, revise la línea, un proxy intermedio y la memoria de este equipo",
		topicS3Restart:      "El destino {place} abandonó una subida incompleta: se empieza de nuevo; si persiste, mire la regla del bucket para subidas incompletas",
		topicS3Provider:     "El proveedor del destino {place} no pudo hacerlo en este momento: se reintenta por sí solo; si persiste, mire la página de estado del proveedor",
	}
}
