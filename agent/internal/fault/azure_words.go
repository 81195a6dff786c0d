package fault

func azureEnglish() map[topic]string {
	return map[topic]string{
		topicAzureDisabled: "Azure has disabled the subscription of the destination {place} (credit or spending limit used up, bill overdue, or cancelled): whoever pays for it opens " +
			"https://portal.azure.com, Subscriptions (Overview), then Cost Management + Billing (Invoices), and settles it; the agent tries to write once an hour",
		topicAzureReadOnly: "The storage account of the destination {place} can be read and takes no writes, as when its subscription was disabled: whoever pays for it opens " +
			"https://portal.azure.com, Subscriptions (Overview), then Cost Management + Billing (Invoices), and settles it; the agent tries to write once an hour",
		topicAzureStopped: "The storage account or container of the destination {place} does not allow this to anybody: an administrator looks at the account and at its subscription " +
			"in https://portal.azure.com (Subscriptions, Overview), which may be disabled for a bill",
		topicAzureCreated:    "The storage account of the destination {place} is still being made: wait until the Azure portal shows it as ready; it is tried again",
		topicAzureKey:        "The destination {place} does not take the account key or signature: it was changed, or has expired; put the current one (Azure portal, storage account, Access keys or Shared access signature) where the agent's configuration says",
		topicAzureEntra:      "Microsoft Entra gives the agent no token for the destination {place}: check the identity of this machine, and that its secret or certificate has not expired (Azure portal, Microsoft Entra ID, App registrations)",
		topicAzureNetwork:    "The storage account of the destination {place} does not let this network in: allow its address, or a private endpoint, in the Azure portal (storage account, Networking), or in the signature",
		topicAzureRole:       "The identity or signature for the destination {place} lacks a right: give it the role Storage Blob Data Contributor, or a signature to read, write, create, list and delete",
		topicAzureSAS:        "The signature for the destination {place} is for something else: make one for the blob service, for containers and objects, over HTTPS",
		topicAzureSharedKey:  "The storage account of the destination {place} does not allow keys: configure identity: entra, or allow keys in the Azure portal (storage account, Configuration)",
		topicAzurePublic:     "The destination {place} takes nobody without a credential: configure key, sas or identity",
		topicAzureContainer:  "There is no such container at the destination {place}, or it is being deleted: correct account and container in the agent's configuration, or make the container; the agent never makes it itself",
		topicAzureArchived:   "A recording at the destination {place} is archived and cannot be read back: rehydrate it, or let the account's lifecycle rule archive later",
		topicAzureLease:      "Another program holds a lease on a blob at the destination {place}: it is tried again; if it lasts, break the lease in the Azure portal",
		topicAzureChecksum:   "The destination {place} received other bytes than were sent, and stored nothing: it is tried again; if it lasts, check the line, a proxy on the way, and this machine's memory",
		topicAzureBlocks:     "Blocks of an upload to the destination {place} are gone: the file is begun again; if it lasts, see whether something else writes there",
		topicAzureProvider:   "Azure could not do it at the destination {place} at the moment: it is tried again by itself; if it lasts, look at https://azure.status.microsoft",
		topicAzureUnable:     "The destination {place} does not know a request of the agent: tell wolkvox, with this message; an emulator or gateway has to be updated",
		topicAzureCopySource: "The service could not copy a blob within the destination {place}: check that the signature allows reading, and the account's rules for copies",
	}
}

func azureSpanish() map[topic]string {
	return map[topic]string{
		topicAzureDisabled: "Azure ha deshabilitado la suscripción del destino {place} (crédito o límite de gasto agotado, factura vencida, o cancelada): quien la paga abre " +
			"https://portal.azure.com, Suscripciones (Información general), luego Cost Management + Billing (Facturas), y lo arregla; el agente intenta escribir una vez por hora",
		topicAzureReadOnly: "La cuenta de almacenamiento del destino {place} se puede leer y no acepta escrituras, como cuando se deshabilita su suscripción: quien la paga abre " +
			"https://portal.azure.com, Suscripciones (Información general), luego Cost Management + Billing (Facturas), y lo arregla; el agente intenta escribir una vez por hora",
		topicAzureStopped: "La cuenta de almacenamiento o el contenedor del destino {place} no se lo permite a nadie: un administrador revisa la cuenta y su suscripción " +
			"en https://portal.azure.com (Suscripciones, Información general), que puede estar deshabilitada por una factura",
		topicAzureCreated:    "La cuenta de almacenamiento del destino {place} todavía se está creando: espere a que el portal de Azure la muestre lista; se intenta de nuevo",
		topicAzureKey:        "El destino {place} no acepta la clave de la cuenta o la firma: cambió o caducó; ponga la actual (portal de Azure, cuenta de almacenamiento, Claves de acceso o Firma de acceso compartido) donde dice la configuración del agente",
		topicAzureEntra:      "Microsoft Entra no da al agente un token para el destino {place}: revise la identidad de esta máquina, y que su secreto o certificado no haya caducado (portal de Azure, Microsoft Entra ID, Registros de aplicaciones)",
		topicAzureNetwork:    "La cuenta de almacenamiento del destino {place} no deja entrar a esta red: permita su dirección, o un punto de conexión privado, en el portal de Azure (cuenta de almacenamiento, Redes), o en la firma",
		topicAzureRole:       "A la identidad o firma para el destino {place} le falta un permiso: dele el rol Storage Blob Data Contributor, o una firma para leer, escribir, crear, listar y borrar",
		topicAzureSAS:        "La firma para el destino {place} es para otra cosa: haga una para el servicio de blobs, para contenedores y objetos, por HTTPS",
		topicAzureSharedKey:  "La cuenta de almacenamiento del destino {place} no permite claves: configure identity: entra, o permita claves en el portal de Azure (cuenta de almacenamiento, Configuración)",
		topicAzurePublic:     "El destino {place} no acepta a nadie sin credencial: configure key, sas o identity",
		topicAzureContainer:  "No existe ese contenedor en el destino {place}, o se está borrando: corrija account y container en la configuración del agente, o cree el contenedor; el agente nunca lo crea",
		topicAzureArchived:   "Una grabación en el destino {place} está archivada y no se puede leer: rehidrátela, o haga que la regla de ciclo de vida de la cuenta archive más tarde",
		topicAzureLease:      "Otro programa tiene una concesión sobre un blob en el destino {place}: se intenta de nuevo; si persiste, interrumpa la concesión en el portal de Azure",
		topicAzureChecksum:   "El destino {place} recibió otros bytes que los enviados, y no guardó nada: se intenta de nuevo; si persiste, revise la línea, un proxy en el camino, y la memoria de esta máquina",
		topicAzureBlocks:     "Los bloques de una subida al destino {place} desaparecieron: el archivo se empieza de nuevo; si persiste, mire si otra cosa escribe allí",
		topicAzureProvider:   "Azure no pudo hacerlo en el destino {place} en este momento: se intenta de nuevo solo; si persiste, mire https://azure.status.microsoft",
		topicAzureUnable:     "El destino {place} no conoce una petición del agente: avise a wolkvox, con este mensaje; un emulador o una pasarela se debe actualizar",
		topicAzureCopySource: "El servicio no pudo copiar un blob dentro del destino {place}: revise que la firma permita leer, y las reglas de la cuenta para copias",
	}
}
