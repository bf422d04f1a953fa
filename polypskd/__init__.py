"""Subclass Knowledge Distillation from clinicians' votes on colonoscopy frames. Research use only."""
