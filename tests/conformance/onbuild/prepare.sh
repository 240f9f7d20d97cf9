echo file > file
