"""What was released: the ledger, its witnesses and receipts, the manifests that were kept, and looking clips up."""
